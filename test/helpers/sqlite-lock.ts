/**
 * Takes the write lock of the SQLite file named on the command line, says so on its output, and holds it until its input ends:
 * a process of somebody else, such as a backup tool.
 */
import Database from 'better-sqlite3';

const connection = new Database(process.argv[2]!);
connection.exec('BEGIN IMMEDIATE');
console.log('locked');
process.stdin.on('end', () => connection.close()).resume();
