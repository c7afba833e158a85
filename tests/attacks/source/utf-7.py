# coding: utf-7
# +AAo-bad(1)
