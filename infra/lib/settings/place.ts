import { Reader } from './reader';

/** Where a stage is. */
export interface Place {
  readonly region: string;
  /** The account of whoever deploys, if absent. */
  readonly account?: string;
}

const REGION = /^[a-z]{2}(-[a-z]+)+-\d$/;
const ACCOUNT = /^\d{12}$/;

/** What `arn:…` names: the service and the resource, in one place. */
const ARN = /^arn:(?:aws|aws-cn|aws-us-gov):([a-z]+):([a-z0-9-]+):(\d{12}):(.+)$/;

export function readPlace(reader: Reader): Place {
  const region = reader.text('region', REGION, 'a region such as `eu-central-1`');
  if (!reader.has('region')) {
    reader.mistake('region', 'it has to be set, to a region such as `eu-central-1`');
  }
  const account = reader.text('account', ACCOUNT, 'an account, which has 12 digits');
  return { region: region ?? '', account };
}

/** A certificate of `service` (`acm` or `iot`) that is where the stage is. */
export function readCertificate(
  reader: Reader,
  key: string,
  service: string,
  place: Place,
): string | undefined {
  const resource = service === 'acm' ? 'certificate/ID' : 'cert/ID';
  const arn = reader.text(
    key,
    ARN,
    `an ARN such as \`arn:aws:${service}:${place.region}:ACCOUNT:${resource}\``,
  );
  const [, actual, region, account, name] = ARN.exec(arn ?? '') ?? [];
  if (arn === undefined) {
    return undefined;
  }
  if (actual !== service || name?.split('/')[0] !== resource.split('/')[0]) {
    return reader.mistake(key, `\`${arn}\` is no certificate of ${service === 'acm' ? 'ACM' : 'AWS IoT'}`);
  }
  if (region !== place.region) {
    const cure = service === 'acm' ? 'request or import one there' : 'register it there';
    const why = `the certificate is in \`${region}\` and the stage in \`${place.region}\`: ${cure}, or change \`region\``;
    return reader.mistake(key, why);
  }
  if (place.account !== undefined && account !== place.account) {
    return reader.mistake(
      key,
      `the certificate is in the account ${account} and the stage in ${place.account}`,
    );
  }
  return arn;
}
