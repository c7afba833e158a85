def steps(connection, threads):
    ids = "('" + "','".join([thread["id"] for thread in threads]) + "')"
    # ruleid: values-quoted-by-hand
    query = f"""
        SELECT id FROM steps
        WHERE thread IN {ids}
        ORDER BY created
    """
    return connection.execute(query)


def names(cursor, wanted):
    listed = ", ".join(f"'{name}'" for name in wanted)
    # ruleid: values-quoted-by-hand
    cursor.execute(f"SELECT * FROM tools WHERE name IN ({listed})")


def sessions(cursor, ids):
    # ruleid: values-quoted-by-hand
    cursor.execute("DELETE FROM sessions WHERE id IN ('" + "', '".join(ids) + "')")
