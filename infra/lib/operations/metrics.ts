import { Duration } from 'aws-cdk-lib';
import { IMetric, MathExpression, Metric, MetricOptions, Stats } from 'aws-cdk-lib/aws-cloudwatch';

/** How often a figure is taken, on the dashboard and by the alarms. */
export const PERIOD = Duration.minutes(5);

/** The authorizer's own metrics, by the names of docs/logs.md; a test holds them to what it writes. */
export class DecisionMetrics {
  constructor(private readonly namespace: string) {}

  attempts(Outcome: 'allow' | 'deny' | 'fault'): Metric {
    return this.metric('Attempts', { dimensionsMap: { Outcome }, statistic: Stats.SUM, label: Outcome });
  }

  /** One line a reason: a new one needs no new dashboard. */
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

/** IoT Core's own, of the whole account in this region, one line a protocol (dg/metrics_dimensions). */
export function iotCore(metricName: string, label: string): IMetric {
  const search = `SEARCH('{AWS/IoT,Protocol} MetricName="${metricName}"', 'Sum', ${PERIOD.toSeconds()})`;
  return new MathExpression({ expression: search, label, usingMetrics: {}, period: PERIOD });
}
