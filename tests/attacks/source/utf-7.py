# coding: utf-7
# +AAo-run(1)
