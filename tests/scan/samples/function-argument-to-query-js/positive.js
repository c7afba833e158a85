export async function executeQuery(pool, sql, params, database) {
  const connection = await pool.getConnection();
  if (database) {
    // ruleid: function-argument-to-query-js
    await connection.query(`USE \`${database}\``);
  }
  return connection.query(sql, params);
}

const describeTable = async (table) => {
  // ruleid: function-argument-to-query-js
  return db.all(`PRAGMA table_info(${table})`);
};

class Memory {
  async forget(user) {
    // ruleid: function-argument-to-query-js
    await this.pool.query(`DELETE FROM memories WHERE owner = '${user}'`);
  }
}
