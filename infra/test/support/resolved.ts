import { Template } from 'aws-cdk-lib/assertions';

export const ACCOUNT = '111122223333';
export const REGION = 'eu-central-1';

/** A resource of a template, with its text in place of CloudFormation's functions. */
export interface Resource {
  readonly type: string;
  /** Its name in AWS. Without a name of its own CloudFormation makes one of the stack and the logical id. */
  readonly name: string;
  readonly arn: string;
  readonly properties: Readonly<Record<string, unknown>>;
}

interface TemplateResource {
  readonly Type: string;
  readonly Properties?: Readonly<Record<string, unknown>>;
}

/** The property with a resource's name. */
const NAME =
  /^(Name|\w*(Alarm|Authorizer|Configuration|Dashboard|Function|Group|Layer|Policy|Rule|Table|Thing|ThingType|Topic|Alias)Name)$/;

/** ARNs by type, after the region and the account. */
const ARNS: Readonly<Record<string, (name: string) => string>> = {
  'AWS::CloudWatch::Alarm': (name) => `arn:aws:cloudwatch:${REGION}:${ACCOUNT}:alarm:${name}`,
  'AWS::CloudWatch::Dashboard': (name) => `arn:aws:cloudwatch::${ACCOUNT}:dashboard/${name}`,
  'AWS::DynamoDB::Table': (name) => regional('dynamodb', `table/${name}`),
  'AWS::IAM::Role': (name) => `arn:aws:iam::${ACCOUNT}:role/${name}`,
  'AWS::IoT::Authorizer': (name) => regional('iot', `authorizer/${name}`),
  'AWS::IoT::DomainConfiguration': (name) => regional('iot', `domainconfiguration/${name}/abcde`),
  'AWS::IoT::Policy': (name) => regional('iot', `policy/${name}`),
  'AWS::IoT::Thing': (name) => regional('iot', `thing/${name}`),
  'AWS::IoT::ThingGroup': (name) => regional('iot', `thinggroup/${name}`),
  'AWS::IoT::ThingType': (name) => regional('iot', `thingtype/${name}`),
  'AWS::IoT::TopicRule': (name) => regional('iot', `rule/${name}`),
  'AWS::KMS::Alias': (name) => regional('kms', name),
  'AWS::KMS::Key': (name) => regional('kms', `key/${name}`),
  'AWS::Lambda::Function': (name) => regional('lambda', `function:${name}`),
  'AWS::Lambda::LayerVersion': (name) => regional('lambda', `layer:${name}:1`),
  'AWS::Logs::LogGroup': (name) => regional('logs', `log-group:${name}:*`),
  'AWS::SecretsManager::Secret': (name) => regional('secretsmanager', `secret:${name}-abcdef`),
  'AWS::SNS::Topic': (name) => regional('sns', name),
};

export function regional(service: string, resource: string): string {
  return `arn:aws:${service}:${REGION}:${ACCOUNT}:${resource}`;
}

/** All resources of a stage's two templates, by their logical ids. */
export function resources(...templates: readonly Template[]): ReadonlyMap<string, Resource> {
  const all = templates.flatMap((it) =>
    Object.entries(it.toJSON()['Resources'] as Record<string, TemplateResource>),
  );
  const named = new Map(all.map(([id, it]) => [id, { ...it, name: name(id, it) }]));
  const arn = (id: string): string => {
    const it = named.get(id);
    return it === undefined ? id : (ARNS[it.Type]?.(it.name) ?? it.name);
  };
  return new Map(
    [...named].map(([id, { Type, name, Properties }]) => {
      const properties = JSON.parse(JSON.stringify(Properties ?? {}), (_, value: unknown) =>
        resolved(value, arn),
      ) as Record<string, unknown>;
      return [id, { type: Type, name, arn: arn(id), properties }];
    }),
  );
}

function name(id: string, { Properties = {} }: TemplateResource): string {
  const own = Object.entries(Properties).find(([key, value]) => NAME.test(key) && typeof value === 'string');
  return `${own?.[1] ?? `latchkey-test-${id}-ABCDEF`}`;
}

/** A reference to a resource is its ARN here; a pseudo parameter has a value of the tests. */
function resolved(value: unknown, arn: (id: string) => string): unknown {
  const it = value as Record<string, unknown> | null;
  if (typeof it !== 'object' || it === null || Array.isArray(it) || Object.keys(it).length !== 1) {
    return value;
  }
  const [[kind, of]] = Object.entries(it) as [[string, unknown]];
  switch (kind) {
    case 'Ref':
      return PSEUDO[String(of)] ?? arn(String(of));
    case 'Fn::GetAtt':
      return arn((of as string[])[0] ?? '');
    case 'Fn::Join':
      return (of as [string, string[]])[1].join('');
    case 'Fn::ImportValue':
      // The other stack's export, whose name has the logical id: `STACK:ExportsOutputFnGetAttIDArnHASH`.
      return arn(/ExportsOutput(?:FnGetAtt|Ref)(\w+?)(?:Arn)?[0-9A-F]{8}$/.exec(String(of))?.[1] ?? '');
    default:
      return value;
  }
}

const PSEUDO: Readonly<Record<string, string>> = {
  'AWS::AccountId': ACCOUNT,
  'AWS::Partition': 'aws',
  'AWS::Region': REGION,
  'AWS::URLSuffix': 'amazonaws.com',
};
