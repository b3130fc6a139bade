import { defineConfig } from "prisma/config";

// mosaic-deploy applies the migrations, and `mosaic-deploy dev` sets DATABASE_URL for the client.
export default defineConfig({ schema: "prisma/schema.prisma", migrations: { path: "prisma/migrations" } });
