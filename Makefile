# A convenience over cargo: every command below works typed as it is, on Windows and macOS too.

CARGO ?= cargo

# Which of infra/stages is deployed.
STAGE ?= dev

.PHONY: help demo test test-localstack check bench fmt lint deny setup infra-test bundle firmware firmware-test synth diff deploy destroy smoke

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1 /p' $(MAKEFILE_LIST) | while read -r name what; do printf '  make %-15s %s\n' "$$name" "$$what"; done

demo: ## the whole system on this machine: gateway, authorizer, a small fleet, and what is refused
	@$(CARGO) run -p latchkey -- demo

test: setup lint deny infra-test bundle ## everything: lints, licences, the deployment, unit and integration tests, foreign clients, the firmware and its image
	@echo "tests"
	@CARGO="$(CARGO)" tests/setup/run-tests
	@echo "localstack"
	@CARGO="$(CARGO)" tests/setup/run-localstack or-say-so
	@$(MAKE) --no-print-directory firmware-test
	@$(MAKE) --no-print-directory firmware

test-localstack: setup ## the tests of AWS's stores once more, against LocalStack; with Docker, docker-compose.yml has more
	@CARGO="$(CARGO)" tests/setup/run-localstack

check: lint ## the everyday check: formatting, lints and unit tests
	@$(CARGO) test --quiet --workspace --lib --bins

bench: ## memory, connects and throughput beside peers, in three minutes on a machine at rest; bench/README.md
	@tests/setup/mosquitto
	@$(CARGO) run --release --quiet -p bench -- all

fmt: ## format the code
	@$(CARGO) fmt --all

lint: ## formatting and clippy; warnings are errors
	@echo "lints"
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --quiet --workspace --all-targets -- -D warnings

deny: ## licences, sources and banned crates, by cargo-deny
	@echo "licences"
	@tests/setup/cargo-deny
	@PATH="$(CURDIR)/target/tools/bin:$$PATH" $(CARGO) deny --log-level error check bans licenses sources >target/deny.log 2>&1 || { cat target/deny.log; exit 1; }
	@cd firmware && PATH="$(CURDIR)/target/tools/bin:$$PATH" $(CARGO) deny --log-level error check bans licenses sources >../target/deny.log 2>&1 || { cat ../target/deny.log; exit 1; }

setup: ## what the tests need beside Rust: mosquitto's clients, and packages for Python and Node (CONTRIBUTING.md has the list)
	@tests/setup/foreign-clients

infra-test: setup ## the deployment, without an account: types, templates, cdk-nag, cfn-lint
	@echo "deployment"
	@infra/tools/test

bundle: ## the function's program as a deploy would upload it, in target/bundle
	@echo "bundle"
	@infra/tools/bundle

firmware-test: ## the firmware's application: unit tests, on this machine and under QEMU against the gateway
	@echo "firmware"
	@CARGO="$(CARGO)" firmware/tools/test

firmware: ## the ESP32-C3's image, its flash, RAM and heap held against firmware/esp32c3/budget.toml
	@echo "firmware image"
	@CARGO="$(CARGO)" firmware/tools/image

synth: ## the CloudFormation templates of STAGE (dev unless you say), without AWS
	@infra/tools/cdk synth $(STAGE)

diff: ## what a deploy of STAGE would change
	@infra/tools/cdk diff $(STAGE)

deploy: ## put STAGE into your AWS account: docs/deploy.md
	@infra/tools/cdk deploy $(STAGE)

destroy: ## take STAGE out of your AWS account
	@infra/tools/cdk destroy $(STAGE)

smoke: ## try out what was deployed as STAGE: password, connection, a reading, and the decision in the log
	@$(CARGO) run --quiet -p latchkey --features aws -- fleet smoke --stage $(STAGE)
