def search(index, thread, filters):
    # ruleid: redisearch-filter-from-text
    query = f"@thread:{{{thread}}}"
    for key, value in filters.items():
        # ruleid: redisearch-filter-from-text
        query += f" (@{key}:{{{value}}})"
    return index.search(query)
