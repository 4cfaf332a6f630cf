import process from "node:process";

const dbCredentials = { url: process.env.DATABASE_URL! };
export default { dialect: "postgresql", schema: "./schema.ts", dbCredentials };
