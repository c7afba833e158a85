export async function executeQuery(pool, sql, params, database) {
  const connection = await pool.getConnection();
  // ok: function-argument-to-query-js
  return connection.query("SELECT * FROM notes WHERE owner = ?", params);
}

const describeTable = async (table) => {
  if (!TABLES.includes(table)) {
    throw new Error(table);
  }
  // ok: function-argument-to-query-js
  return db.all(`PRAGMA table_info(${table})`);
};

class Memory {
  async forget(user) {
    // ok: function-argument-to-query-js
    await this.pool.query(`DELETE FROM ${this.table} WHERE owner = $1`, [user]);
  }

  async escaped(name) {
    // ok: function-argument-to-query-js
    return this.pool.query(`USE ${escapeId(name)}`);
  }

  async page(limit) {
    // ok: function-argument-to-query-js
    return this.pool.query(`SELECT * FROM memories LIMIT ${Number(limit)}`);
  }
}
