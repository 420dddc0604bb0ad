import pg from 'pg';

/** Makes a database. Arguments: a superuser's URL, a name. */
const [url, name] = process.argv.slice(2) as [string, string];
const client = new pg.Client(url);
await client.connect();
await client.query(`CREATE DATABASE ${name}`);
await client.end();
