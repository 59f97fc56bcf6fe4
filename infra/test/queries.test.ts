import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { IOT_QUERIES, QUERIES } from '../lib/operations/queries';
import { REPOSITORY, synthesized } from './support/fixture';

/** Words of the language, and functions, in the queries (CloudWatch Logs user guide, `CWL_QuerySyntax`). */
const LANGUAGE = new Set(
  'and as asc by count count_distinct desc display earliest fields filter in latest like limit max min not or pct sort stats'.split(
    ' ',
  ),
);
/** What Logs Insights itself has on every line. */
const OF_INSIGHTS = new Set(['@timestamp', '@message', '@logStream']);

/** The fields of the decision line: docs/logs.md, whose table a test of the workspace holds to real lines. */
function documented(): Map<string, string> {
  const text = readFileSync(join(REPOSITORY, 'docs/logs.md'), 'utf8');
  const section = text.split('## The decision line')[1]?.split('\n## ')[0] ?? '';
  return new Map(
    [...section.matchAll(/^\| `(\w+)` \| (\w+)/gm)].map(([, name, type]) => [name ?? '', type ?? '']),
  );
}

/** The fields that a query reads, without the names that it gives itself. */
function fieldsOf(query: string): string[] {
  const aliases = new Set([...query.matchAll(/\bas (\w+)/g)].map(([, alias]) => alias));
  const words = query.replaceAll(/"[^"]*"/g, ' ').match(/@?[A-Za-z_]\w*/g) ?? [];
  return words.filter((word) => !LANGUAGE.has(word) && !aliases.has(word));
}

test('every field of a query is a field of decision lines', () => {
  const known = documented();
  assert.ok(known.size > 15, `${known.size}`);
  for (const { name, lines } of QUERIES) {
    const fields = fieldsOf(lines.join(' | '));
    assert.ok(fields.includes('event') && fields.length > 2, name);
    for (const field of fields) {
      assert.ok(known.has(field) || OF_INSIGHTS.has(field), `\`${field}\` in the query "${name}"`);
    }
  }
});

test('every value in a query is a value of its field', () => {
  const logs = readFileSync(join(REPOSITORY, 'docs/logs.md'), 'utf8');
  const reasons = readFileSync(join(REPOSITORY, 'docs/authorizer.md'), 'utf8');
  for (const { name, lines } of QUERIES) {
    for (const [, field, value] of lines.join(' ').matchAll(/(\w+) = "(\w+)"/g)) {
      const known = value === 'DEVICE' || `${logs}${reasons}`.includes(`\`${value}\``);
      assert.ok(known, `\`${field}\` is never \`${value}\`, in the query "${name}"`);
    }
  }
});

test('the check finds a renamed field', () => {
  assert.deepEqual(fieldsOf('filter event = "decision" | stats count(*) as n by why | sort n desc'), [
    'event',
    'why',
  ]);
});

test('the queries are saved for the log of the function', () => {
  const { template } = synthesized();
  template.resourceCountIs('AWS::Logs::QueryDefinition', QUERIES.length);
  for (const { name, lines } of QUERIES) {
    template.hasResourceProperties('AWS::Logs::QueryDefinition', {
      Name: `latchkey-test/${name}`,
      QueryString: lines.join('\n| '),
    });
  }
});

test("AWS IoT's own log has its queries if it is on", () => {
  const { template } = synthesized({ iotLogging: 'ERROR' });
  template.resourceCountIs('AWS::Logs::QueryDefinition', QUERIES.length + IOT_QUERIES.length);
  for (const { name, lines } of IOT_QUERIES) {
    template.hasResourceProperties('AWS::Logs::QueryDefinition', {
      Name: `latchkey-test/${name}`,
      QueryString: lines.join('\n| '),
      LogGroupNames: ['AWSIotLogsV2'],
    });
  }
});

test('the documentation shows the queries as they are', () => {
  const text = readFileSync(join(REPOSITORY, 'docs/operations.md'), 'utf8');
  for (const { name, lines } of [...QUERIES, ...IOT_QUERIES]) {
    assert.ok(text.includes(`**${name}**`), name);
    assert.ok(text.includes(lines.join('\n| ')), name);
  }
});
