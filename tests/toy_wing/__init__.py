"""A wing as small as a wing can be: how far the mean of n draws is from the mean of their law."""
