// A real authorization server (oidc-provider) on loopback: authorization code with PKCE, device codes, dynamic
// registration, rotating refresh tokens, revocation, introspection, and people's pages for sign-in and consent.
//
// node authorization-server.mjs '{"clients": [...], "scopes": [...], "first": 3600, "refreshed": 3600}'
//   clients    client metadata (RFC 7591) with client_id and client_secret
//   scopes     what may be asked for
//   first      life in seconds of an access token that a login gets
//   refreshed  life in seconds of one that a refresh gets
// The first line on stdout is {"url": ...}, the issuer. Each further line is one thing that happened, as JSON:
// {"event": "request", ...} with the protocol's own words and no secret, or an event of the library by its name.
// Ends with its standard input.

import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';

import { load } from './packages.mjs';

const knobs = JSON.parse(process.argv[2]);
const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

// The library gives hints for production on the console; stdout is ours.
console.info = () => {};
console.warn = () => {};
const { Provider } = load('oidc-provider');

const configuration = {
  clients: knobs.clients,
  scopes: knobs.scopes,
  clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'none'],
  cookies: { keys: [randomBytes(32).toString('base64url')] },
  features: {
    deviceFlow: { enabled: true },
    devInteractions: { enabled: true },
    introspection: { enabled: true },
    registration: { enabled: true },
    revocation: { enabled: true },
  },
  pkce: { required: () => true },
  // A login outlives the browser's session, always brings a refresh token, and each refresh brings the next one; one
  // that was spent already ends the whole grant.
  expiresWithSession: () => false,
  issueRefreshToken: (_context, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: () => true,
  findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  ttl: { AccessToken: (context) => (context.oidc.params.grant_type === 'refresh_token' ? knobs.refreshed : knobs.first) },
  fetch: () => Promise.reject(new Error('this server calls nobody')),
};

// The words of a request that are no secret.
const told = ['client_id', 'grant_type', 'scope', 'response_type', 'code_challenge_method', 'redirect_uri', 'token_type_hint'];

async function record(context, next) {
  await next();
  const words = Object.entries(context.oidc?.params ?? {}).filter(([name, value]) => told.includes(name) && value !== undefined);
  say({ event: 'request', method: context.method, path: context.path, status: context.status, ...Object.fromEntries(words) });
}

// The issuer holds the port, so the port comes first. Its host is not the daemon's: to a browser, 127.0.0.1 and
// localhost are different sites, with all that this means for cookies.
const server = createServer();
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const url = `http://localhost:${server.address().port}`;
const provider = new Provider(url, configuration);
provider.use(record);
for (const event of ['refresh_token.saved', 'refresh_token.consumed', 'grant.revoked']) {
  provider.on(event, () => say({ event }));
}
provider.on('registration_create.success', (_context, client) => {
  const { client_secret: _secret, ...metadata } = client.metadata();
  say({ event: 'registered', ...metadata });
});
provider.on('server_error', (_context, error) => say({ event: 'server_error', message: error.message }));
server.on('request', provider.callback());
say({ url });

process.stdin.on('end', () => process.exit(0)).resume();
