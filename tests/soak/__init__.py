"""The soak: mixed load with faults for as long as one likes; every byte of every answer is compared."""
