// The backend: notes in the database, through Prisma. `mosaic-deploy dev` runs it with DATABASE_URL and MOSAIC_SITE_URL.
// Everybody can write notes here. For sign-in, see the todo example.
import { createServer } from "node:http";

import { PrismaPg } from "@prisma/adapter-pg";
import { PrismaClient } from "@prisma/client";

const site = process.env.MOSAIC_SITE_URL;
const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: process.env.DATABASE_URL }) });

async function body(request) {
  let text = "";
  for await (const chunk of request) {
    text += chunk;
    if (text.length > 10_000) throw Object.assign(new Error("too long"), { status: 413 });
  }
  return JSON.parse(text);
}

async function answer(request) {
  if (request.url !== "/notes") return [404, { error: "not found" }];
  if (request.method === "GET") return [200, await prisma.note.findMany({ orderBy: { id: "desc" }, take: 50 })];
  if (request.method !== "POST") return [405, { error: "GET or POST" }];
  if (request.headers.origin !== site) return [403, { error: `only pages of ${site} can do this` }];
  const text = String((await body(request)).text ?? "").trim();
  if (!text || text.length > 500) return [400, { error: "a note has 1 to 500 characters" }];
  return [201, await prisma.note.create({ data: { text } })];
}

createServer(async (request, response) => {
  response.setHeader("Access-Control-Allow-Origin", site);
  response.setHeader("Access-Control-Allow-Headers", "Content-Type");
  if (request.method === "OPTIONS") return response.writeHead(204).end();
  const [status, document] = await answer(request).catch((error) => {
    console.error(error);
    return [error instanceof SyntaxError ? 400 : (error.status ?? 500), { error: "the request failed" }];
  });
  return response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(document));
}).listen(Number(process.env.PORT ?? 3001), process.env.HOST ?? "127.0.0.1");
