function filters(options) {
  const parts = [];
  for (const [key, value] of Object.entries(options.filter)) {
    // ruleid: redisearch-filter-from-text
    parts.push(`(@${key}:{${value}})`);
  }
  return parts.join(" ");
}
