def steps(connection, ids):
    marks = ",".join("?" for _ in ids)
    # ok: values-quoted-by-hand
    return connection.execute(f"SELECT * FROM steps WHERE thread IN ({marks})", ids)


def choice(value, allowed):
    known = "', '".join(allowed)
    if value not in allowed:
        # ok: values-quoted-by-hand
        raise ValueError(f"{value} is not one of '{known}'")
