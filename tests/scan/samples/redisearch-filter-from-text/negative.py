def search(index, thread, score):
    # ok: redisearch-filter-from-text
    query = f"@thread:{{{escape_tag(thread)}}}"
    # ok: redisearch-filter-from-text
    query += f" @score:[{score} +inf]"
    return index.search(query)


def address(user, password, host, port):
    # ok: redisearch-filter-from-text
    return f"redis://{user}:{password}@{host}:{port}/0"
