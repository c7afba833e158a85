"""One check each; `tavo.operator.vetting.NAMES` lists them."""
