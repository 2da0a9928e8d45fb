"""From sensitivities at several sizes to benign, tempered, catastrophic or undecided."""
