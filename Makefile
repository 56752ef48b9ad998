# Six words. Each prepares what it needs on a fresh Debian machine (xtask/prepare.sh says what), then does its work.
.PHONY: run test check e2e bench build

run:
	@xtask/prepare.sh run
	cargo run -p xtask -- browser --dev
	cargo run -p sluice -- demo

test:
	@xtask/prepare.sh test
	@end2end/test.sh

check:
	@xtask/prepare.sh check
	@xtask/check.sh

e2e:
	@xtask/prepare.sh test
	@end2end/e2e.sh

bench:
	@xtask/prepare.sh bench
	@bench/run.sh $(BENCH)

build:
	@xtask/prepare.sh run
	cargo run -p xtask -- browser
	SLUICE_EMBED_SITE=$(CURDIR)/target/site cargo build --release -p sluice
