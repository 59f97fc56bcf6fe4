import { Duration } from 'aws-cdk-lib';
import { IMetric, MathExpression, Metric, MetricOptions, Stats } from 'aws-cdk-lib/aws-cloudwatch';

/** The period of all metrics, on the dashboard and in the alarms. */
export const PERIOD = Duration.minutes(5);

/** The authorizer's own metrics, with the names of docs/logs.md; a test compares them with the function's. */
export class DecisionMetrics {
  constructor(private readonly namespace: string) {}

  attempts(Outcome: 'allow' | 'deny' | 'fault'): Metric {
    return this.metric('Attempts', { dimensionsMap: { Outcome }, statistic: Stats.SUM, label: Outcome });
  }

  /** One line for each reason, so that a new reason needs no new dashboard. */
  refusalsByReason(): IMetric {
    const search = `SEARCH('{${this.namespace},Reason} MetricName="Attempts"', 'Sum', ${PERIOD.toSeconds()})`;
    return new MathExpression({ expression: search, label: '', usingMetrics: {}, period: PERIOD });
  }

  totalTime(statistic: string): Metric {
    return this.metric('TotalTime', {
      dimensionsMap: { Outcome: 'allow' },
      statistic,
      label: `decision ${statistic}`,
    });
  }

  storeTime(statistic: string): Metric {
    return this.metric('StoreTime', {
      dimensionsMap: { Outcome: 'allow' },
      statistic,
      label: `store ${statistic}`,
    });
  }

  cacheHits(): Metric {
    return this.metric('CacheHits', { statistic: Stats.AVERAGE, label: 'found in the cache' });
  }

  coldStarts(): Metric {
    return this.metric('ColdStarts', { statistic: Stats.SUM, label: 'cold starts' });
  }

  private metric(metricName: string, options: MetricOptions): Metric {
    return new Metric({ namespace: this.namespace, metricName, period: PERIOD, ...options });
  }
}

/** A metric of IoT Core, for the whole account in this region, one line for each protocol (dg/metrics_dimensions). */
export function iotCore(metricName: string, label: string): IMetric {
  const search = `SEARCH('{AWS/IoT,Protocol} MetricName="${metricName}"', 'Sum', ${PERIOD.toSeconds()})`;
  return new MathExpression({ expression: search, label, usingMetrics: {}, period: PERIOD });
}
