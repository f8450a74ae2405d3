"""What users pass, checked with sentences that say what was found and what was expected."""
