export interface Database {
  query<Row>(sql: string, values?: readonly unknown[]): Promise<readonly Row[]>;
  transaction<Result>(work: (inside: Database) => Promise<Result>): Promise<Result>;
  close(): Promise<void>;
}

export async function pingDatabase(db: Database): Promise<void> {
  await db.query("SELECT 1");
}

export async function closeDatabase(db: Database): Promise<void> {
  await db.close();
}
