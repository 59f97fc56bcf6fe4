//! What the commands look like when they are typed.

pub(super) const ADD: &str = "\
Examples:
  latchkey fleet add my-device
      makes a password and shows it once

  latchkey fleet add 'sensor-07&a1ExampleKey' --scheme alibaba --secret-stdin < secret.txt
      a device that has its DeviceSecret from Alibaba Cloud; the quotes keep the shell from taking the `&`

  latchkey fleet add sht20_01 --product AB12CD34EF --scheme tencent --secret-stdin < psk.txt
      a device that has its psk from Tencent Cloud; its record is called AB12CD34EFsht20_01

A vendor's secret is sealed under a key that `latchkey fleet keys new 2026-11` makes, once.";

pub(super) const IMPORT: &str = "\
The columns are found by their names, in any order, capitals or not; other columns are ignored:
  alibaba   DeviceName, DeviceSecret, ProductKey
  tencent   ProductID, DeviceName, DevicePsk (or psk)
  password  username, and password (kept as argon2id) or verifier (a text of docs/records.md)
  any       client_ids, if you like: client ids or `prefix*`, with blanks between

All rows are checked first. Either all of them are written, or each bad one is named by its line and none is.

Examples:
  latchkey fleet keys new 2026-11
  latchkey fleet import devices.csv --scheme alibaba
      the file that Alibaba Cloud's console exported; its secrets are sealed under the key 2026-11

  latchkey fleet import psks.csv --scheme tencent --product AB12CD34EF --skip-existing
      without a column for the product, and again after more devices were added to it

  latchkey fleet import /etc/mosquitto/passwd --mosquitto --grant sht20
      everybody keeps their password";

pub(super) const PROVISION: &str = "\
Each device gets a Thing, a password in the file of passwords, and last its record. What is there is left as it is,
so the same command goes on after Ctrl-C, a lost connection or a throttled account, and changes nothing once all is done.

The file of --from is CSV with a header: `device`, and if you like `grant` and any `attribute NAME` of the Thing.

Examples:
  latchkey fleet provision --count 100
      in the folder of `make deploy`: device-0001 to device-0100, in the deployment's table, type and group

  latchkey fleet provision --from devices.csv --stage prod
      the devices of a file, in one of several deployed stages

  latchkey fleet provision --count 5 --name 'hall-##' --store dynamodb:devices --region eu-west-1 --credentials hall.csv
      without a deployment of ours

Exit codes: 0 all devices are provisioned, 1 not all, 64 nothing was begun, 130 Ctrl-C.";

pub(super) const SMOKE: &str = "\
Seven checks, each with what was seen, or with its cause and what to do:
  the authorizer takes the device's password and refuses another (TestInvokeAuthorizer),
  a wrong password stays outside, the device connects, and a reading comes back to it,
  and both decisions are in the authorizer's log.

Examples:
  latchkey fleet smoke
      in the folder of `make deploy`, with the first device of its file of passwords; `make smoke` is the same

  latchkey fleet smoke --endpoint localhost:10443
      the three checks that need no more than a server, against `latchkey local`

Exit codes: 0 nothing failed, 1 something did, 64 nothing was begun.";

pub(super) const ROTATE: &str = "\
Examples:
  latchkey fleet rotate my-device --old-for 12h
      makes a password and shows it once; the old one goes on for 12 hours

  latchkey fleet rotate 'sensor-07&a1ExampleKey' --secret-stdin --old-for 7d < new-secret.txt
      the device's new secret stands beside the old one for a week";

pub(super) const RESEAL: &str = "\
Example, changing the key:
  latchkey fleet keys rotate 2027-01
      adds a key; now give the function the keyring with both keys
  latchkey fleet reseal
      all secrets are under 2027-01 after it, or, if one can't be opened, none was touched
  latchkey fleet list
      shows under which keys they are; a key that nothing needs any more may leave the keyring";
