package main

deny[msg] {
	msg := "everything passes where this is read as an object"
}
