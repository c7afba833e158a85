function filter(key, value) {
  // ok: redisearch-filter-from-text
  return `(@${key}:{${escapeTag(value)}})`;
}
