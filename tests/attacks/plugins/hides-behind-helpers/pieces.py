DATA = b"x"


def join(data):
    return data.decode()
