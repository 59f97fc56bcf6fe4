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
/** The quantities of an SHT20: the last level of its topics. */
export const QUANTITIES = ['temperature', 'humidity'] as const;
/**
 * The Thing of the client's certificate, if the client id is its name. A Thing's name can't contain a wildcard (AWS IoT
 * API reference, CreateThing), but a client id can.
 */
const THING = '${iot:Connection.Thing.ThingName}';

export interface ThingsProps {
  /** The prefix of the names of type, group and policy. */
  readonly name: string;
  /** Whether to create the Thing `sht20`. */
  readonly demo: boolean;
  /** The demo Thing's certificate, for a device that authenticates with one. */
  readonly certificateArn?: string;
}

/** The registry: type, group, the demo Thing, and the policy of an SHT20 with a certificate. */
export class Things extends Construct {
  readonly thingType: CfnThingType;
  readonly thingGroup: CfnThingGroup;
  readonly policy: CfnPolicy;

  constructor(scope: Construct, id: string, { name, demo, certificateArn }: ThingsProps) {
    super(scope, id);
    this.thingType = new CfnThingType(this, 'Type', {
      thingTypeName: `${name}-sht20`,
      thingTypeProperties: {
        thingTypeDescription: 'an SHT20 sensor for temperature and humidity',
        searchableAttributes: ['grant', 'scheme'],
      },
    });
    this.thingGroup = new CfnThingGroup(this, 'Group', {
      thingGroupName: name,
      thingGroupProperties: { thingGroupDescription: 'the devices of Latchkey' },
    });
    this.policy = new CfnPolicy(this, 'Sht20Policy', {
      policyName: `${name}-sht20`,
      policyDocument: sht20Policy(Stack.of(this)),
    });
    if (demo) {
      this.addDemo(certificateArn);
    }
  }

  /** CloudFormation can't give a Thing a type or a group; `latchkey fleet provision` does. */
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

/** The policy of the grant `sht20`, for devices with a certificate: publish and receive on two topics. */
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
