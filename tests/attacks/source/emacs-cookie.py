# -*- coding: latin-1-unix -*-
x = 'é'
bad(1)
