import { CfnQueryDefinition } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';

/** A query of CloudWatch Logs Insights. */
export interface Query {
  readonly name: string;
  readonly lines: readonly string[];
}

/** The queries of decision lines. docs/operations.md shows them, and a test compares each field with docs/logs.md. */
export const QUERIES: readonly Query[] = [
  {
    name: 'last decisions of a device',
    lines: [
      'filter event = "decision" and (device = "DEVICE" or client_id = "DEVICE")',
      'fields @timestamp, outcome, reason, error_type, client_id, scheme, grant, verifier, connection_id',
      'sort @timestamp desc',
      'limit 50',
    ],
  },
  {
    name: 'refusals by reason',
    lines: [
      'filter event = "decision" and outcome = "deny"',
      'stats count(*) as refusals, count_distinct(device) as devices by reason',
      'sort refusals desc',
    ],
  },
  {
    name: 'faults by type',
    lines: [
      'filter event = "decision" and outcome = "fault"',
      'stats count(*) as faults, latest(error) as example by error_type',
      'sort faults desc',
    ],
  },
  {
    name: 'slowest decisions',
    lines: [
      'filter event = "decision"',
      'fields @timestamp, total_us, store_us, cache, cold_start, device, scheme, outcome, request_id',
      'sort total_us desc',
      'limit 50',
    ],
  },
  {
    name: 'devices that changed client id',
    lines: [
      'filter event = "decision" and outcome = "allow"',
      'stats count_distinct(client_id) as ids, latest(client_id) as newest by device',
      'filter ids > 1',
      'sort ids desc',
    ],
  },
  {
    name: 'first-seen devices',
    lines: [
      'filter event = "decision" and outcome = "allow"',
      'stats min(@timestamp) as first_seen, count(*) as connects by device',
      'sort first_seen desc',
      'limit 100',
    ],
  },
  {
    name: 'unknown devices',
    lines: [
      'filter event = "decision" and reason = "unknown_device"',
      'stats count(*) as attempts, min(@timestamp) as first_seen by device_digest',
      'sort attempts desc',
      'limit 100',
    ],
  },
];

/** The queries of AWS IoT's own log, with the fields and event types of dg/cwl-format. */
export const IOT_QUERIES: readonly Query[] = [
  {
    name: 'failed authentications at AWS IoT',
    lines: [
      'filter eventType = "Connection.AuthNError"',
      'stats count(*) as failures, latest(details) as example by reason, authenticationType',
      'sort failures desc',
    ],
  },
];

/** Saves queries in a folder with the stage's name. */
export function saveQueries(
  scope: Construct,
  id: string,
  name: string,
  queries: readonly Query[],
  logGroupName: string,
): void {
  const parent = new Construct(scope, id);
  for (const query of queries) {
    new CfnQueryDefinition(parent, query.name, {
      name: `${name}/${query.name}`,
      queryString: query.lines.join('\n| '),
      logGroupNames: [logGroupName],
    });
  }
}
