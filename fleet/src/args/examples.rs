//! Examples in the help of the commands. `-h` has the short ones, `--help` all of them.

pub(super) const FLEET: &str = "\
Examples:
  latchkey fleet add my-device
  latchkey fleet list
  latchkey fleet revoke my-device

`latchkey fleet COMMAND -h` has the options and examples of a command.";

pub(super) const ADD: &str = "\
Examples:
  latchkey fleet add my-device
  latchkey fleet add 'sensor-07&a1Key' --scheme alibaba --secret-stdin < s.txt

--help explains more.";

pub(super) const ADD_LONG: &str = "\
Examples:
  latchkey fleet add my-device
      makes a password and shows it once

  latchkey fleet add 'sensor-07&a1Key' --scheme alibaba --secret-stdin < s.txt
      a device with its DeviceSecret from Alibaba Cloud, in quotes because
      `&` means something else to the shell

  latchkey fleet add d_01 --product AB12CD34EF --scheme tencent \\
      --secret-stdin < psk.txt
      a device with its psk from Tencent Cloud; its record is AB12CD34EFd_01

A vendor's secret is sealed under a key. Make the key once, with
`latchkey fleet keys new 2026-11`.";

pub(super) const IMPORT: &str = "\
Examples:
  latchkey fleet import devices.csv --from alibaba
  latchkey fleet import /etc/mosquitto/passwd --from mosquitto \\
      --acl /etc/mosquitto/acl

--help lists the sources, and the columns of a CSV file.";

pub(super) const IMPORT_LONG: &str = "\
What --from reads:
  mosquitto, mosquitto-go-auth, passlib, htpasswd
            lines of `name:hash`, as the program writes them
  mosquitto-dynsec
            dynamic-security.json: clients, and their roles as grants
  emqx      the built-in database's users, as CSV or JSON; see --emqx-hash
  django    `manage.py dumpdata auth.user`, or CSV with its columns
  alibaba   CSV: DeviceName, DeviceSecret, ProductKey
  tencent   CSV: ProductID, DeviceName, DevicePsk (or psk)
  csv       CSV: username, and password (the record keeps its argon2id hash)
            or verifier (in a form of docs/records.md)
Columns are found by their names, in any order, with or without capitals.
Other columns are ignored. In the tables of alibaba, tencent and csv a column
client_ids may have client ids or `prefix*`, between blanks. `--scheme` and
`--mosquitto` name the same forms as before.

All rows and rules are checked first. If one is wrong, each is named with its
line, and no device is added.

Examples:
  latchkey fleet import passwd --from mosquitto --acl aclfile --dry-run
      what would be imported, which grants the access rules become, and which
      of them a grant can't have

  latchkey fleet import passwd --from mosquitto --client-id '%u' \\
      --client-id '%u-*'
      each user may have its name as client id, or begin it with the name

  latchkey fleet import passwd --from mosquitto --grant sht20 \\
      --store dynamodb:devices
      to a table in AWS, with one grant for all

  latchkey fleet keys new 2026-11
  latchkey fleet import devices.csv --from alibaba
      a file that Alibaba Cloud's console exported; its secrets are sealed
      under the key 2026-11

  latchkey fleet import psks.csv --from tencent --product AB12CD34EF
      a file without a column for the product

  latchkey fleet import psks.csv --from tencent --skip-existing
      the same devices again, and new ones";

pub(super) const BUILD: &str = "\
Examples:
  latchkey fleet build devices.json --out devices.indexed
  latchkey fleet check --store indexed:devices.indexed

The same records make the same file, with the same digest.";

pub(super) const REVOKE: &str = "\
Examples:
  latchkey fleet revoke my-device
  latchkey fleet revoke --from-file stolen.txt --dry-run

Exit codes: 0 all are out, 1 not all, 64 nothing was begun, 130 Ctrl-C.
--help explains more.";

pub(super) const REVOKE_LONG: &str = "\
The records are disabled first, then each connection is ended
(DeleteConnection) and each client id is watched (GetConnection) until it is
out. Until the function's cache has forgotten a record, its device may connect
again; it is then ended again. AWS IoT can't list client ids: those below
`prefix*`, and those of Alibaba devices, are reported as not known.

A file says which records were changed, and `revoke undo FILE` enables those
again. Nothing is lost when the command is stopped or killed: run it again, and
it goes on; each run has a file of its own.

Against `latchkey local`, run `eval \"$(latchkey local env)\"` first.

Examples:
  latchkey fleet revoke my-device
      refuses it, ends its connection, and watches it for the minute in which
      the function's cache may still accept it

  latchkey fleet revoke sdk-1 --client-id sdk-nodejs-0001
      a device whose record allows `sdk-nodejs-*`

  latchkey fleet revoke --from-file stolen.txt --yes --json
      the devices of a list, for a script

  latchkey fleet revoke --all-of-grant sht20 --dry-run
      which devices have this grant, and which of them are connected

Exit codes: 0 every record is disabled and every client id that is known is
out, 1 not every one, 64 nothing was begun, 130 Ctrl-C.";

pub(super) const LOGS: &str = "\
Examples:
  latchkey fleet logs --device my-device --since 1d
  latchkey fleet logs --outcome deny --outcome fault --follow
  latchkey fleet logs --log-group /aws/lambda/latchkey-prod --json

Outcomes: allow, deny (refused), fault (something is broken), end (of a
connection). In the folder of `make deploy` the logs are the deployment's; AWS
IoT's own log has refusals before the function, if `iotLogging` is on.
`latchkey why DEVICE` tells more about one connection of `latchkey local`.

Exit codes: 0 the log was read, 64 it can't be read, 130 Ctrl-C (with
--follow 0).";

pub(super) const STATUS: &str = "\
Examples:
  latchkey fleet status
  latchkey fleet status --since 1d --json

Exit codes: 0 it is shown, 64 the store or the log can't be read, 130 Ctrl-C.";

pub(super) const STATS: &str = "\
Examples:
  latchkey fleet stats --since 7d
      refusals by reason, client ids that several connections fight over, and
      enabled devices without any event in the last 7 days

  latchkey fleet stats --json --top 100
      with connects by the minute

Exit codes: 0 they are shown, 64 the log can't be read, 130 Ctrl-C.";

pub(super) const UNDO: &str = "\
Example:
  latchkey fleet revoke undo .latchkey/revoked-2026-11-30T060000Z.jsonl

Run it on the same store, with `--store` if the revocation had it. Records that
were disabled before the revocation stay disabled.";

pub(super) const PROVISION: &str = "\
Examples:
  latchkey fleet provision --count 100 --grant sht20
  latchkey fleet provision --from devices.csv --stage prod --dry-run

Exit codes: 0 all devices are provisioned, 1 not all, 64 nothing was begun,
130 Ctrl-C. --help explains more.";

pub(super) const PROVISION_LONG: &str = "\
Each device gets a Thing, a password in the file of passwords, and its record
last. What exists is unchanged. So the same command goes on after Ctrl-C, a
lost connection or a throttled account, and changes nothing when all is done.

The file of --from is CSV with a header: `device`, and optionally `grant` and
`attribute NAME` for attributes of the Thing.

Examples:
  latchkey fleet provision --count 100 --grant sht20
      in the folder of `make deploy`: device-0001 to device-0100, in the
      deployment's table, type and group, for `latchkey sim`

  latchkey fleet provision --from devices.csv --stage prod
      the devices of a file, in one of several deployed stages

  latchkey fleet provision --count 5 --store dynamodb:devices \\
      --name 'hall-##' --region eu-west-1 --credentials hall.csv
      without a deployment of `make deploy`

Exit codes: 0 all devices are provisioned, 1 not all, 64 nothing was begun,
130 Ctrl-C.";

pub(super) const PUSH: &str = "\
A record that the store has already is never overwritten. So the same command
goes on after it was stopped. A table has no grants: give those of the file to
the function, with `function.grants` in the stage's settings or with
LATCHKEY_GRANTS.

Examples:
  latchkey fleet push
      in the folder of `make deploy`: from .latchkey/devices.json to the
      deployment's store

  latchkey fleet push devices.json --store dynamodb:devices --region eu-west-1
      to a table without a deployment of `make deploy`

Exit codes: 0 the store has every record, 1 not every one, 64 nothing was
begun, 130 Ctrl-C.";

pub(super) const SMOKE: &str = "\
Examples:
  latchkey fleet smoke
  latchkey fleet smoke --endpoint localhost:10443

Exit codes: 0 no check failed, 1 one did, 64 nothing was begun.
--help explains more.";

pub(super) const SMOKE_LONG: &str = "\
There are eight checks, each reported with what was seen, or with its cause
and its cure. The authorizer accepts the device's password and refuses another
(TestInvokeAuthorizer). Three connects in a row succeed: a new authorizer may
need up to 90 seconds until they do. A wrong password is refused, the device
connects, and a reading comes back to it. Both decisions are in the
authorizer's log.

Examples:
  latchkey fleet smoke
      in the folder of `make deploy`, with the first device of its file of
      passwords; `make smoke` is the same

  latchkey fleet smoke --endpoint localhost:10443
      the three checks that need only a server, with `latchkey local`

Exit codes: 0 no check failed, 1 one did, 64 nothing was begun.";

pub(super) const ROTATE: &str = "\
Examples:
  latchkey fleet rotate my-device --old-for 12h
      makes a password and shows it once; the old one is valid for 12 hours

  latchkey fleet rotate 'sensor-07&a1Key' --secret-stdin --old-for 7d < s.txt
      adds the device's new secret; the old one is valid for a week";

pub(super) const LIST: &str = "\
Examples:
  latchkey fleet list --grant sht20 --disabled
  latchkey fleet list --limit 100 --after device-0100
      the next page of a large fleet

  latchkey fleet list --count --store dynamodb:devices";

pub(super) const SET: &str = "\
Examples:
  latchkey fleet set my-device --grant sht20
  latchkey fleet set panel-1 --grant panel --parameter site=hall";

pub(super) const GRANTS: &str = "\
Examples:
  latchkey fleet grants list
  latchkey fleet grants set panel --subscribe 'sensor/+/temperature' \\
      --receive 'sensor/*'
      `+` and `#` are for subscribe; elsewhere `*` is any text

  latchkey fleet grants show panel

A table has no grants: name the file of the function's with `--grants FILE`.";

pub(super) const CHECK: &str = "\
Examples:
  latchkey fleet check
  latchkey fleet check --store dynamodb:devices --grants grants.json
  latchkey fleet check --store dynamodb:devices --repair
      once for a table that an earlier version wrote, and after a change of
      the function's grants

Exit codes: 0 nothing is wrong, 1 something is, 64 nothing was checked.";

pub(super) const RESEAL: &str = "\
Example, changing the key:
  latchkey fleet keys rotate 2027-01
      adds a key; then give the function the keyring with both keys

  latchkey fleet reseal
      seals all secrets under 2027-01, or none if one can't be opened

  latchkey fleet list
      shows which keys are in use; remove the others from the keyring";

pub(super) const CHECK_MIGRATION: &str = "\
Example:
  latchkey fleet check-migration passwd --from mosquitto \\
      --capture /var/log/mosquitto/mosquitto.log

--help explains more.";

pub(super) const CHECK_MIGRATION_LONG: &str = "\
Each problem is shown with the number of devices, examples, and what to do.
The last line has how many devices can move with nothing changed, with a DNS
or certificate change, through a bridge (a broker next to the devices that
connects to AWS), with new firmware, and not at all. No file shows which roots
a device trusts: look into its firmware.

Examples:
  latchkey fleet check-migration passwd --from mosquitto \\
      --capture /var/log/mosquitto/mosquitto.log
      users, and what they did by the broker's log (`log_type all`)

  tcpdump -i any -w fleet.pcap 'tcp port 1883 or tcp port 8883'
  latchkey fleet check-migration devices.csv --from alibaba \\
      --topics topics.txt --capture fleet.pcap
      also what the devices offer in TLS, and topics from the firmware

Exit codes: 0 the report was printed, 64 a file can't be read.";
