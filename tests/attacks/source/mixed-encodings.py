# coding: utf-8
x = 'Ã©'
y = 'é'
bad(1)
