# The two commands that matter are `make run` and `make test`; neither needs root. `make help` lists all.
.POSIX:
.DELETE_ON_ERROR:

UKCI = target/debug/ukci
# What `make run` runs; matrix/matrix.yaml has the names under `sets`.
SET = pr
# More of its options: `make run FLAGS=--coverage`.
FLAGS =

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' Makefile

run: build ## boot kernels, run the tests in each, print the table; `make run SET=full` for all of the matrix
	$(UKCI) run --set $(SET) $(FLAGS)

test: build ## every test of the workspace, those that boot VMs included
	$(UKCI) exec -- cargo test --workspace --locked

check: build ## formatting, lints, licences and sources of dependencies
	cargo fmt --all --check
	$(UKCI) exec -- cargo clippy --workspace --all-targets --locked -- --deny warnings
	cargo deny --all-features --config .github/deny.toml check bans licenses sources

lint: ## the workflows, the scripts and the flake
	.ci/lint
	.ci/check-nix

page: build ## the report page in a headless browser
	.ci/page

build:
	cargo build --package ukci --locked

.PHONY: help run test check lint page build
