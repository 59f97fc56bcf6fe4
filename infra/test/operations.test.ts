import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { Match, Template } from 'aws-cdk-lib/assertions';

import { everything, REPOSITORY, synthesized } from './support/fixture';

const { template } = synthesized();

/** A metric as alarms and dashboards name it. */
interface Named {
  readonly name: string;
  readonly dimensions: readonly string[];
}

test('each failure that refuses devices has an alarm', () => {
  const alarms = Object.values(template.findResources('AWS::CloudWatch::Alarm'));
  const names = alarms.map((alarm) => (alarm['Properties'] as Record<string, unknown>)['AlarmName']);
  assert.deepEqual(
    names.sort(),
    ['faults', 'latency', 'readings', 'refusals', 'throttles'].map((it) => `latchkey-test-${it}`),
  );
  const topic = [{ Ref: Match.stringLikeRegexp('^AlarmsTopic') }];
  template.allResourcesProperties('AWS::CloudWatch::Alarm', {
    AlarmActions: topic,
    OKActions: topic,
    TreatMissingData: 'notBreaching',
    AlarmDescription: Match.stringLikeRegexp('docs/operations.md'),
  });
});

test('each alarm has its section in the documentation', () => {
  const text = readFileSync(join(REPOSITORY, 'docs/operations.md'), 'utf8');
  for (const name of ['faults', 'latency', 'readings', 'refusals', 'throttles']) {
    assert.ok(text.includes(`### ${name}\n`), name);
  }
});

test('the latency alarm is below the limit of IoT Core', () => {
  template.hasResourceProperties('AWS::CloudWatch::Alarm', {
    AlarmName: 'latchkey-test-latency',
    MetricName: 'Duration',
    ExtendedStatistic: 'p99',
    Threshold: 3500,
  });
});

test('the faults alarm is a percentage of all calls', () => {
  template.hasResourceProperties('AWS::CloudWatch::Alarm', {
    AlarmName: 'latchkey-test-faults',
    Threshold: 1,
    Metrics: Match.arrayWith([
      Match.objectLike({ Expression: 'IF(invocations > 0, 100 * errors / invocations, 0)' }),
    ]),
  });
});

test('the settings have the threshold for refusals, and the address', () => {
  const { template } = synthesized({ alarms: { email: 'operations@example.com', refusals: 500 } });
  template.hasResourceProperties('AWS::CloudWatch::Alarm', {
    AlarmName: 'latchkey-test-refusals',
    Threshold: 500,
  });
  template.hasResourceProperties('AWS::SNS::Subscription', {
    Protocol: 'email',
    Endpoint: 'operations@example.com',
  });
});

test('the topic requires TLS', () => {
  template.hasResourceProperties('AWS::SNS::TopicPolicy', {
    PolicyDocument: {
      Statement: Match.arrayWith([
        Match.objectLike({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
      ]),
    },
  });
});

test("AWS IoT's own log is unchanged without the setting, and has failed authentications with it", () => {
  template.resourceCountIs('AWS::IoT::Logging', 0);
  synthesized({ iotLogging: 'ERROR' }).template.hasResourceProperties('AWS::IoT::Logging', {
    AccountId: { Ref: 'AWS::AccountId' },
    DefaultLogLevel: 'ERROR',
    EventConfigurations: [{ EventType: 'Connection.AuthNError', LogLevel: 'ERROR' }],
  });
});

test('every metric has a name and dimensions that the authorizer writes', () => {
  const emitted = emittedMetrics();
  const used = [...alarmMetrics(template, 'latchkey/test'), ...dashboardMetrics(template, 'latchkey/test')];
  assert.ok(used.length >= 10, `${used.length}`);
  for (const { name, dimensions } of used) {
    const by = emitted.get(name);
    assert.ok(by, `no metric is called ${name}`);
    assert.ok(
      by.has(dimensions.join()),
      `${name} is not counted by ${dimensions.join(' and ') || 'nothing'}`,
    );
  }
  assert.deepEqual([...new Set(used.map(({ name }) => name))].sort(), [...emitted.keys()].sort());
});

test('the documentation has the same metrics', () => {
  const text = readFileSync(join(REPOSITORY, 'docs/logs.md'), 'utf8').split('## Metrics')[1] ?? '';
  const rows = [...text.matchAll(/^\| `(\w+)` \|[^|]*\|([^|]*)\|/gm)];
  const documented = rows.map(([, name, by]): [string, string[]] => [name ?? '', dimensionsOf(by ?? '')]);
  for (const [name, by] of documented) {
    assert.deepEqual([...(emittedMetrics().get(name) ?? [])].sort(), by.sort(), name);
  }
  assert.equal(documented.length, emittedMetrics().size);
});

test('every setting together gives the same alarms', () => {
  synthesized(everything()).template.resourceCountIs('AWS::CloudWatch::Alarm', 5);
});

/** The metrics of `authorizer/src/metrics.rs`, each with the combinations of dimensions that it is counted by. */
function emittedMetrics(): Map<string, Set<string>> {
  const source =
    readFileSync(join(REPOSITORY, 'authorizer/src/metrics.rs'), 'utf8').split('#[cfg(test)]')[0] ?? '';
  const names = new Map(
    [...source.matchAll(/const (\w+): Metric = Metric \{ name: "(\w+)"/g)].map(([, id, name]) => [id, name]),
  );
  const groups = new Map(
    [...source.matchAll(/let (\w+) = \[([A-Z_, ]+)\];/g)].map(([, id, list]) => [id, list]),
  );
  const emitted = new Map<string, Set<string>>();
  for (const [, dimensions, metrics] of source.matchAll(
    /Directive \{ namespace, dimensions: (.+), metrics: &(.+) \}/g,
  )) {
    const list = groups.get(metrics) ?? metrics ?? '';
    for (const id of list.match(/[A-Z_]+/g) ?? []) {
      const name = names.get(id) ?? id;
      emitted.set(name, new Set([...(emitted.get(name) ?? []), ...combinations(dimensions ?? '')]));
    }
  }
  return emitted;
}

/** `&[&["A"], &["A", "B"]]` as `A` and `A,B`; the variable for none as the empty one. */
function combinations(dimensions: string): string[] {
  const lists = [...dimensions.matchAll(/&\[("[^\]]*)\]/g)].map(([, list]) =>
    (list ?? '').replaceAll(/[" ]/g, ''),
  );
  return lists.length === 0 ? [''] : lists;
}

/** `nothing`, or combinations as `` `A`; `A` and `B` ``. */
function dimensionsOf(cell: string): string[] {
  return cell.includes('nothing')
    ? ['']
    : cell.split(';').map((part) => (part.match(/\w+(?=`)/g) ?? []).join());
}

function alarmMetrics(from: Template, namespace: string): Named[] {
  const alarms = Object.values(from.findResources('AWS::CloudWatch::Alarm'));
  return alarms.flatMap((alarm) => {
    const { Namespace, MetricName, Dimensions } = alarm['Properties'] as {
      Namespace?: string;
      MetricName?: string;
      Dimensions?: { Name: string }[];
    };
    const dimensions = (Dimensions ?? []).map(({ Name }) => Name);
    return Namespace === namespace ? [{ name: MetricName ?? '', dimensions }] : [];
  });
}

/** A widget's metric is `[namespace, name, dimension, value, …, options]`, or a search. */
function dashboardMetrics(from: Template, namespace: string): Named[] {
  const [dashboard] = Object.values(from.findResources('AWS::CloudWatch::Dashboard'));
  const { DashboardBody } = dashboard?.['Properties'] as {
    DashboardBody: { 'Fn::Join': [string, unknown[]] };
  };
  const text = DashboardBody['Fn::Join'][1].map((part) => (typeof part === 'string' ? part : 'REF')).join('');
  const { widgets } = JSON.parse(text) as { widgets: { properties: { metrics?: unknown[][] } }[] };
  const rows = widgets.flatMap(({ properties }) => properties.metrics ?? []);
  return rows.flatMap((row) => named(row, namespace));
}

function named(row: readonly unknown[], namespace: string): Named[] {
  const [first, name, ...rest] = row;
  const search = /SEARCH\('\{([^,}]+),?([^}]*)\} MetricName="(\w+)"/.exec(
    JSON.stringify(first).replaceAll('\\', ''),
  );
  if (search?.[1] === namespace) {
    return [{ name: search[3] ?? '', dimensions: (search[2] ?? '').split(',') }];
  }
  const texts = rest.filter((part) => typeof part === 'string');
  return first === namespace
    ? [{ name: String(name), dimensions: texts.filter((_, at) => at % 2 === 0) }]
    : [];
}
