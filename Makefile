# Shortcuts for cargo: every command below also works when you type it, on Windows and macOS too.

CARGO ?= cargo

# Which of infra/stages is deployed.
STAGE ?= dev

.PHONY: help demo test test-localstack check bench fmt lint crates-alone console-lint deny advisories sbom setup infra-test bundle firmware firmware-test synth diff deploy destroy smoke

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1 /p' $(MAKEFILE_LIST) | while read -r name what; do printf '  make %-15s %s\n' "$$name" "$$what"; done

demo: ## the whole system on this machine: gateway, authorizer, a small fleet, and two refused clients
	@$(CARGO) run -p latchkey -- demo

test: setup lint crates-alone console-lint deny advisories infra-test bundle ## all tests: lints, licences, advisories, the deployment, unit and integration tests, independent clients, the firmware and its image
	@echo "tests"
	@CARGO="$(CARGO)" tests/setup/run-tests
	@echo "localstack"
	@CARGO="$(CARGO)" tests/setup/run-localstack or-say-so
	@$(MAKE) --no-print-directory firmware-test
	@$(MAKE) --no-print-directory firmware

test-localstack: setup ## the tests of AWS's stores against LocalStack; with Docker also the function in docker-compose.yml
	@CARGO="$(CARGO)" tests/setup/run-localstack

check: lint ## the quick check: formatting, lints and unit tests
	@$(CARGO) test --quiet --workspace --lib --bins

bench: ## memory, connects and throughput, compared with other programs; API calls, shadows and the console; see bench/README.md
	@tests/setup/mosquitto
	@$(CARGO) run --release --quiet -p bench -- all

fmt: ## format the code
	@$(CARGO) fmt --all

lint: ## formatting and clippy; warnings are errors
	@echo "lints"
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --quiet --workspace --all-targets -- -D warnings

crates-alone: ## clippy for each package by itself, with its default features and without
	@echo "packages alone"
	@CARGO="$(CARGO)" tests/setup/crates-alone

console-lint: setup ## the console's files: Prettier, and TypeScript's types
	@tests/setup/console-lint

deny: ## licences, sources and banned crates, by cargo-deny
	@echo "licences"
	@tests/setup/cargo-deny
	@PATH="$(CURDIR)/target/tools/bin:$$PATH" $(CARGO) deny --log-level error check bans licenses sources >target/deny.log 2>&1 || { cat target/deny.log; exit 1; }
	@cd firmware && PATH="$(CURDIR)/target/tools/bin:$$PATH" $(CARGO) deny --log-level error check bans licenses sources >../target/deny.log 2>&1 || { cat ../target/deny.log; exit 1; }

advisories: ## known vulnerabilities in crates and packages, where their databases can be reached
	@echo "advisories"
	@CARGO="$(CARGO)" tests/setup/advisories

sbom: ## write target/sbom.cdx.json: what the programs, the function and the deployment are made of, as CycloneDX
	@python3 infra/tools/sbom.py

setup: ## install what the tests need besides Rust: mosquitto's clients, and packages for Python and Node (see CONTRIBUTING.md)
	@tests/setup/foreign-clients
	@tests/setup/console
	@infra/tools/python kubernetes-validate

infra-test: setup ## the tests of the deployment, without an AWS account: types, templates, cdk-nag, cfn-lint
	@echo "deployment"
	@infra/tools/test

bundle: ## build the function as a deploy uploads it, in target/bundle
	@echo "bundle"
	@infra/tools/bundle

firmware-test: ## the tests of the firmware's application: unit tests, and on this machine and in QEMU against the gateway
	@echo "firmware"
	@CARGO="$(CARGO)" firmware/tools/test

firmware: ## build the ESP32-C3's image, and check flash, RAM and heap against firmware/esp32c3/budget.toml
	@echo "firmware image"
	@CARGO="$(CARGO)" firmware/tools/image

synth: ## write the CloudFormation templates of STAGE (dev by default), without AWS
	@infra/tools/cdk synth $(STAGE)

diff: ## show what a deploy of STAGE would change
	@infra/tools/cdk diff $(STAGE)

deploy: ## deploy STAGE to your AWS account: docs/deploy.md
	@infra/tools/cdk deploy $(STAGE)

destroy: ## remove STAGE from your AWS account
	@infra/tools/cdk destroy $(STAGE)

smoke: ## check the deployment of STAGE: password, connection, a reading, and the decision in the log
	@$(CARGO) run --quiet -p latchkey --features aws -- fleet smoke --stage $(STAGE)
