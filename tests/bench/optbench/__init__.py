"""How well Cairn and its peers optimise problems whose answers are known, or cheap to find."""
