import { IGrantable } from 'aws-cdk-lib/aws-iam';

/** Where the authorizer's records are. */
export interface RecordStore {
  /** What `LATCHKEY_STORE` is to say. */
  readonly location: string;
  /** Lets the authorizer read records, and nothing more. */
  grantRead(grantee: IGrantable): void;
}
