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
  /** Where failed readings go. */
  readonly errors: ILogGroup;
  /** Who is told; others can subscribe to the topic. */
  readonly email?: string;
  /** How many refusals in five minutes are a spike. */
  readonly refusals: number;
}

/** What an alarm watches, and the sentence that whoever is woken reads. */
interface Watch {
  readonly metric: IMetric;
  readonly threshold: number;
  /** Of how many periods, so that one bad minute wakes nobody. */
  readonly periods: readonly [breaching: number, of: number];
  readonly description: string;
}

/** Of all calls, in per cent. */
const MOST_FAULTS = 1;
/** In milliseconds: IoT Core gives up at 5,000, and a cold start is not in Lambda's figure. */
const SLOW = 3_500;

/** The alarms and the topic that they tell. docs/operations.md says what to do about each. */
export class Alarms extends Construct {
  readonly topic: Topic;

  constructor(scope: Construct, id: string, props: AlarmsProps) {
    super(scope, id);
    this.topic = new Topic(this, 'Topic', { topicName: `${props.name}-alarms`, enforceSSL: true });
    if (props.email !== undefined) {
      this.topic.addSubscription(new EmailSubscription(props.email));
    }
    const action = new SnsAction(this.topic);
    for (const [key, { metric, threshold, periods, description }] of Object.entries(watches(props))) {
      const alarm = new Alarm(this, key, {
        alarmName: `${props.name}-${key}`,
        alarmDescription: `${description}; docs/operations.md has the cure`,
        metric,
        threshold,
        comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        datapointsToAlarm: periods[0],
        evaluationPeriods: periods[1],
        // Nobody connects at night: no data is no trouble.
        treatMissingData: TreatMissingData.NOT_BREACHING,
      });
      alarm.addAlarmAction(action);
      alarm.addOkAction(action);
    }
  }
}

function watches(props: AlarmsProps): Record<string, Watch> {
  const target = props.function;
  return {
    faults: {
      metric: faultRate(target),
      threshold: MOST_FAULTS,
      periods: [2, 3],
      description: `at least ${MOST_FAULTS} % of the authorizer's calls fail, and IoT Core lets nobody in on those`,
    },
    refusals: {
      metric: new DecisionMetrics(props.metricsNamespace).attempts('deny'),
      threshold: props.refusals,
      periods: [1, 1],
      description: `at least ${props.refusals} refusals in five minutes: a broken fleet, or somebody who guesses`,
    },
    latency: {
      metric: target.metricDuration({ statistic: 'p99', period: PERIOD }),
      threshold: SLOW,
      periods: [2, 3],
      description: `1 % of the authorizer's calls take over ${SLOW} ms, and IoT Core gives up at 5,000`,
    },
    throttles: {
      metric: target.metricThrottles({ period: PERIOD }),
      threshold: 1,
      periods: [1, 1],
      description: 'Lambda turns calls of the authorizer away, and IoT Core lets nobody in on those',
    },
    readings: {
      metric: failedReadings(props.errors),
      threshold: 1,
      periods: [1, 1],
      description: 'readings arrive that the topic rules cannot store',
    },
  };
}

/** Lambda's errors, because a function that crashes or is late writes no metric of its own. */
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

/** Lines of the log that failed readings go to: AWS/IoT counts failures by rule and action, and this needs neither. */
function failedReadings(errors: ILogGroup): IMetric {
  return new Metric({
    namespace: 'AWS/Logs',
    metricName: 'IncomingLogEvents',
    dimensionsMap: { LogGroupName: errors.logGroupName },
    statistic: Stats.SUM,
    period: PERIOD,
  });
}
