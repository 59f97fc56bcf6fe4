# A convenience over cargo: every command below works typed as it is, on Windows and macOS too.

CARGO ?= cargo

.PHONY: help demo test check fmt lint deny setup

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name what; do printf '  make %-8s %s\n' "$$name" "$$what"; done

demo: ## the whole system on this machine: gateway, authorizer, a small fleet, two intruders
	@$(CARGO) run --quiet -p latchkey -- demo

test: setup lint deny ## everything: lints, licences, unit and integration tests with foreign clients
	@$(CARGO) build --quiet --workspace --bins
	@$(CARGO) test --quiet --workspace

check: lint ## the everyday check: formatting, lints and the tests that need no other program
	@$(CARGO) test --quiet --workspace --lib --bins

fmt: ## format the code
	@$(CARGO) fmt --all

lint: ## formatting and clippy, warnings are errors
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --quiet --workspace --all-targets -- -D warnings

deny: ## licences, sources and banned crates, by cargo-deny
	@tests/setup/cargo-deny
	@PATH="$(CURDIR)/target/tools/bin:$$PATH" $(CARGO) deny --log-level error check bans licenses sources

setup: ## what the tests need beside Rust: mosquitto's clients and a Python with paho-mqtt
	@tests/setup/foreign-clients
