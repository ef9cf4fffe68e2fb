"""`bench submit`: runs on their way to the committed records and board, checked, staged and put in place at once."""
