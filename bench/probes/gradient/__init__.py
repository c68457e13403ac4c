"""The spectrum of the loss gradient against that of the attack."""
