print("before everything")
