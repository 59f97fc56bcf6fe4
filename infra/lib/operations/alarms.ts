import {
  Alarm,
  ComparisonOperator,
  IMetric,
  MathExpression,
  Metric,
  Stats,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { IFunction } from 'aws-cdk-lib/aws-lambda';
import { ILogGroup } from 'aws-cdk-lib/aws-logs';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import { Construct } from 'constructs';

import { DecisionMetrics, PERIOD } from './metrics';

export interface AlarmsProps {
  readonly name: string;
  readonly function: IFunction;
  readonly metricsNamespace: string;
  /** The log of readings that could not be stored. */
  readonly errors: ILogGroup;
  /** The address that gets the alarms; others can subscribe to the topic. */
  readonly email?: string;
  /** The number of refusals in five minutes that triggers the alarm. */
  readonly refusals: number;
}

/** An alarm's metric and threshold, and the text of its notification. */
interface AlarmDefinition {
  readonly metric: IMetric;
  readonly threshold: number;
  /** The alarm triggers if this number of the last periods breaches the threshold. */
  readonly periods: readonly [breaching: number, of: number];
  readonly description: string;
}

/** Failed calls in per cent of all calls. */
const FAULT_PERCENT = 1;
/** In milliseconds. IoT Core's limit is 5,000, and Lambda's metric does not include a cold start. */
const SLOW_MS = 3_500;

/** The alarms and the topic that they notify. docs/operations.md says what to do about each. */
export class Alarms extends Construct {
  readonly topic: Topic;

  constructor(scope: Construct, id: string, props: AlarmsProps) {
    super(scope, id);
    this.topic = new Topic(this, 'Topic', { topicName: `${props.name}-alarms`, enforceSSL: true });
    if (props.email !== undefined) {
      this.topic.addSubscription(new EmailSubscription(props.email));
    }
    const action = new SnsAction(this.topic);
    for (const [key, { metric, threshold, periods, description }] of Object.entries(definitions(props))) {
      const alarm = new Alarm(this, key, {
        alarmName: `${props.name}-${key}`,
        alarmDescription: `${description}; see docs/operations.md`,
        metric,
        threshold,
        comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        datapointsToAlarm: periods[0],
        evaluationPeriods: periods[1],
        // A fleet at rest has no data.
        treatMissingData: TreatMissingData.NOT_BREACHING,
      });
      alarm.addAlarmAction(action);
      alarm.addOkAction(action);
    }
  }
}

function definitions(props: AlarmsProps): Record<string, AlarmDefinition> {
  const target = props.function;
  return {
    faults: {
      metric: faultRate(target),
      threshold: FAULT_PERCENT,
      periods: [2, 3],
      description: `at least ${FAULT_PERCENT} % of the authorizer's calls fail, and IoT Core refuses their devices`,
    },
    records: {
      metric: new DecisionMetrics(props.metricsNamespace).staleAnswers(),
      threshold: 1,
      periods: [1, 1],
      description: 'the records cannot be read or used as they are now, and older ones stay in force',
    },
    refusals: {
      metric: new DecisionMetrics(props.metricsNamespace).attempts('deny'),
      threshold: props.refusals,
      periods: [1, 1],
      description: `at least ${props.refusals} refusals in five minutes: a change that broke the fleet, or guessed passwords`,
    },
    latency: {
      metric: target.metricDuration({ statistic: 'p99', period: PERIOD }),
      threshold: SLOW_MS,
      periods: [2, 3],
      description: `1 % of the authorizer's calls take over ${SLOW_MS} ms, and IoT Core's limit is 5,000`,
    },
    throttles: {
      metric: target.metricThrottles({ period: PERIOD }),
      threshold: 1,
      periods: [1, 1],
      description: 'Lambda rejects calls of the authorizer, and IoT Core refuses their devices',
    },
    readings: {
      metric: failedReadings(props.errors),
      threshold: 1,
      periods: [1, 1],
      description: 'the topic rules cannot store some readings',
    },
  };
}

/** Lambda's errors: a function that crashes or times out writes no metric of its own. */
function faultRate(target: IFunction): IMetric {
  const [errors, invocations] = [
    target.metricErrors({ period: PERIOD }),
    target.metricInvocations({ period: PERIOD }),
  ];
  return new MathExpression({
    expression: 'IF(invocations > 0, 100 * errors / invocations, 0)',
    usingMetrics: { errors, invocations },
    label: 'faults in per cent',
    period: PERIOD,
  });
}

/** The lines in the log of failed readings: AWS/IoT has metrics for each rule and action only. */
function failedReadings(errors: ILogGroup): IMetric {
  return new Metric({
    namespace: 'AWS/Logs',
    metricName: 'IncomingLogEvents',
    dimensionsMap: { LogGroupName: errors.logGroupName },
    statistic: Stats.SUM,
    period: PERIOD,
  });
}
