import { Duration } from 'aws-cdk-lib';
import { Dashboard, GraphWidget, IMetric, Metric, Stats, TextWidget } from 'aws-cdk-lib/aws-cloudwatch';
import { IFunction } from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';

import { QUANTITIES } from '../things';
import { DecisionMetrics, iotCore, PERIOD } from './metrics';

export interface DashboardProps {
  readonly name: string;
  readonly function: IFunction;
  readonly metricsNamespace: string;
  readonly readingsNamespace: string;
}

const HEADING = `# Latchkey
The authorizer's decisions, latency and load. IoT Core's own metrics are for the whole account in this region.`;

/** Connects, decisions, latency, load and readings on one page. */
export function createDashboard(scope: Construct, id: string, props: DashboardProps): Dashboard {
  const decisions = new DecisionMetrics(props.metricsNamespace);
  const dashboard = new Dashboard(scope, id, {
    dashboardName: props.name,
    defaultInterval: Duration.hours(12),
  });
  dashboard.addWidgets(new TextWidget({ markdown: HEADING, width: 24, height: 2 }));
  dashboard.addWidgets(
    graph(
      'Decisions',
      ['allow', 'deny', 'fault'].map((it) => decisions.attempts(it as 'allow')),
    ),
    graph('Refusals and faults by reason', [decisions.refusalsByReason()]),
  );
  dashboard.addWidgets(
    graph('Connects at IoT Core', [
      iotCore('Connect.Success', 'connected'),
      iotCore('Connect.AuthError', 'not allowed to connect'),
      iotCore('Connection.AuthNError', 'not authenticated'),
      iotCore('Connect.Throttle', 'too many in the account'),
      iotCore('Connect.ClientIDThrottle', 'too many of one client id'),
    ]),
    graph('Latency', latencies(decisions, props.function)),
  );
  dashboard.addWidgets(
    graph('Load', [
      props.function.metric('ConcurrentExecutions', { statistic: Stats.MAXIMUM, period: PERIOD }),
      props.function.metricThrottles({ period: PERIOD }),
      props.function.metricErrors({ period: PERIOD }),
      decisions.coldStarts(),
    ]),
    graph('Cache', [decisions.cacheHits()]),
  );
  dashboard.addWidgets(...QUANTITIES.map((quantity) => readings(props.readingsNamespace, quantity)));
  return dashboard;
}

function latencies(decisions: DecisionMetrics, target: IFunction): IMetric[] {
  const percentiles = ['p50', 'p99'].flatMap((it) => [decisions.totalTime(it), decisions.storeTime(it)]);
  // It is in milliseconds, and the authorizer's metrics are in microseconds: the graph converts units.
  return [...percentiles, target.metricDuration({ statistic: 'p99', period: PERIOD, label: 'Lambda p99' })];
}

function readings(namespace: string, metricName: string): GraphWidget {
  const metric = (statistic: string): Metric =>
    new Metric({ namespace, metricName, statistic, period: PERIOD, label: `${metricName} ${statistic}` });
  const count = new Metric({ namespace, metricName, statistic: 'n', period: PERIOD, label: 'readings' });
  return new GraphWidget({
    title: `Readings: ${metricName}`,
    left: ['Minimum', 'Average', 'Maximum'].map(metric),
    right: [count],
    width: 12,
  });
}

function graph(title: string, left: IMetric[]): GraphWidget {
  return new GraphWidget({ title, left, width: 12 });
}
