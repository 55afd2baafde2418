"""What kill.py, fuzz.py and long.py share with tests/reliability: faults made on purpose."""
