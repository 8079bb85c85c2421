// An OpenID Connect provider for tests: the npm package oidc-provider (certified by the OpenID Foundation), with people in
// memory, and with ways to make it misbehave with its own keys.
//   node provider.mjs PORT REDIRECT_URI
// PUT /test/people/{sub}     the claims of somebody
// POST /test/rotate          new keys; the old ones are gone
// POST /test/tamper/{how}    the next ID tokens are wrong in one way; "nothing" to stop
import { createServer } from 'node:http';
import { randomUUID } from 'node:crypto';
import { Provider } from 'oidc-provider';
import { exportJWK, generateKeyPair, SignJWT, decodeJwt, base64url } from 'jose';

const [port, redirectUri] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const people = new Map();
let tamper = 'nothing';
let provider;
let key;

async function newKey() {
  const { privateKey } = await generateKeyPair('RS256', { extractable: true });
  const kid = randomUUID();
  return { privateKey, kid, jwk: { ...(await exportJWK(privateKey)), kid, use: 'sig', alg: 'RS256' } };
}

async function start() {
  key = await newKey();
  provider = new Provider(issuer, {
    jwks: { keys: [key.jwk] },
    clients: [{ client_id: 'keywright', client_secret: 'a secret: with / odd % signs', redirect_uris: [redirectUri] }],
    scopes: ['openid', 'email', 'profile', 'groups'],
    claims: { email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
    conformIdTokenClaims: false,
    cookies: { keys: ['for tests only'] },
    pkce: { required: () => true },
    ttl: { AccessToken: 60, AuthorizationCode: 60, IdToken: 60, Interaction: 60, Session: 60, Grant: 60 },
    findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub, ...people.get(sub) }) }),
  });
  provider.on('server_error', (_, error) => console.error(error));
  provider.use(async (ctx, next) => {
    await next();
    if (ctx.oidc?.route === 'token' && ctx.body?.id_token) ctx.body.id_token = await tampered(ctx.body.id_token);
  });
}

async function tampered(token) {
  const claims = decodeJwt(token);
  const now = Math.floor(Date.now() / 1000);
  const sign = (changes, { privateKey, kid } = key) =>
    new SignJWT({ ...claims, ...changes }).setProtectedHeader({ alg: 'RS256', kid }).sign(privateKey);
  switch (tamper) {
    case 'nothing': return token;
    case 'nonce': return sign({ nonce: 'another one' });
    case 'expired': return sign({ iat: now - 7200, exp: now - 3600 });
    case 'audience': return sign({ aud: 'somebody-else' });
    case 'issuer': return sign({ iss: 'https://elsewhere.example' });
    case 'unknown-key': return sign({}, await newKey());
    case 'known-name-other-key': return sign({}, { ...(await newKey()), kid: key.kid });
    case 'none': return `${base64url.encode('{"alg":"none"}')}.${base64url.encode(JSON.stringify(claims))}.`;
    default: throw new Error(tamper);
  }
}

async function body(request) {
  let text = '';
  for await (const piece of request) text += piece;
  return text;
}

async function control(request, response) {
  const [, , what, name] = request.url.split('/');
  if (what === 'people') people.set(name, JSON.parse(await body(request)));
  else if (what === 'rotate') await start();
  else if (what === 'tamper') tamper = name;
  response.writeHead(204).end();
}

await start();
createServer((request, response) => {
  if (request.url.startsWith('/test/')) control(request, response);
  else provider.callback()(request, response);
}).listen(Number(port), '127.0.0.1', () => console.log('ready'));
