import { Stack } from 'aws-cdk-lib';
import {
  CfnPolicy,
  CfnPolicyPrincipalAttachment,
  CfnThing,
  CfnThingGroup,
  CfnThingPrincipalAttachment,
  CfnThingType,
} from 'aws-cdk-lib/aws-iot';
import { Construct } from 'constructs';

/** The Thing of the demo; its topics are `sensor/sht20/temperature` and `sensor/sht20/humidity`. */
const DEMO = 'sht20';
/** What an SHT20 measures: the last level of its topics. */
export const QUANTITIES = ['temperature', 'humidity'] as const;
/**
 * The Thing that the client's certificate belongs to, under the condition that the client id is its name. A Thing's
 * name holds no wildcard (AWS IoT API reference, CreateThing), which a client id can.
 */
const THING = '${iot:Connection.Thing.ThingName}';

export interface ThingsProps {
  /** What type, group and policy are called after. */
  readonly name: string;
  /** Whether there is the Thing `sht20`. */
  readonly demo: boolean;
  /** The demo Thing's certificate, for a device that proves itself by one. */
  readonly certificateArn?: string;
}

/** The registry's side: type, group, the demo Thing, and the policy of an SHT20 that has a certificate. */
export class Things extends Construct {
  readonly thingType: CfnThingType;
  readonly thingGroup: CfnThingGroup;
  readonly policy: CfnPolicy;

  constructor(scope: Construct, id: string, { name, demo, certificateArn }: ThingsProps) {
    super(scope, id);
    this.thingType = new CfnThingType(this, 'Type', {
      thingTypeName: `${name}-sht20`,
      thingTypeProperties: {
        thingTypeDescription: 'an SHT20, which measures temperature and humidity',
        searchableAttributes: ['grant', 'scheme'],
      },
    });
    this.thingGroup = new CfnThingGroup(this, 'Group', {
      thingGroupName: name,
      thingGroupProperties: { thingGroupDescription: 'the devices that Latchkey lets in' },
    });
    this.policy = new CfnPolicy(this, 'Sht20Policy', {
      policyName: `${name}-sht20`,
      policyDocument: sht20Policy(Stack.of(this)),
    });
    if (demo) {
      this.addDemo(certificateArn);
    }
  }

  /** CloudFormation can give a Thing neither type nor group: docs/deploy.md has the two commands. */
  private addDemo(certificateArn: string | undefined): void {
    const thing = new CfnThing(this, 'Sht20', {
      thingName: DEMO,
      attributePayload: { attributes: { grant: 'sht20', scheme: 'password' } },
    });
    if (certificateArn === undefined) {
      return;
    }
    const toThing = new CfnThingPrincipalAttachment(this, 'ThingCertificate', {
      thingName: DEMO,
      principal: certificateArn,
    });
    toThing.addDependency(thing);
    const toPolicy = new CfnPolicyPrincipalAttachment(this, 'PolicyCertificate', {
      policyName: `${this.policy.policyName}`,
      principal: certificateArn,
    });
    toPolicy.addDependency(this.policy);
  }
}

/** What the grant `sht20` gives a device with a password, for one with a certificate: two topics, both ways. */
function sht20Policy({ partition, region, account }: Stack): object {
  const arn = (resource: string): string => `arn:${partition}:iot:${region}:${account}:${resource}`;
  const topics = (kind: string): string[] => QUANTITIES.map((it) => arn(`${kind}/sensor/${THING}/${it}`));
  const attached = { Bool: { 'iot:Connection.Thing.IsAttached': 'true' } };
  return {
    Version: '2012-10-17',
    Statement: [
      { Effect: 'Allow', Action: 'iot:Connect', Resource: arn(`client/${THING}`), Condition: attached },
      { Effect: 'Allow', Action: ['iot:Publish', 'iot:Receive'], Resource: topics('topic') },
      { Effect: 'Allow', Action: 'iot:Subscribe', Resource: topics('topicfilter') },
    ],
  };
}
