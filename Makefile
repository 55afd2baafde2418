# Every target is `python bootstrap.py TARGET`, which works without make as well.
# make test ARGS="-k spec" passes arguments on; make PYTHON=python3.12 ... names the interpreter.
PYTHON ?= python3

.PHONY: help demo install test check lowest lock

help:
	@$(PYTHON) bootstrap.py --help

demo install test check lowest lock:
	@$(PYTHON) bootstrap.py $@ $(ARGS)
