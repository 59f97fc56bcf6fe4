/** The constructs for other CDK apps. */
export { UsernamePasswordAuthorizer, type UsernamePasswordAuthorizerProps } from './authorizer';
export type { AuthorizerCode } from './code';
export { AuthorizerDomain, type AuthorizerDomainProps } from './domain';
export {
  RecordFile,
  RecordSecret,
  type RecordSecretProps,
  RecordTable,
  type RecordTableProps,
} from './records';
export type { RecordStore } from './records';
