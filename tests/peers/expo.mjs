// Expo's own client against EXPO_BASE_URL: one message, its ticket, and a receipt, as it understands them.
// usage: EXPO_BASE_URL=... node expo.mjs PACKAGES TOKEN
import {createRequire} from 'node:module';
import {pathToFileURL} from 'node:url';

const [packages, token] = process.argv.slice(2);
const {Expo} = await import(pathToFileURL(createRequire(`${packages}/`).resolve('expo-server-sdk')));
const expo = new Expo({accessToken: 's3cr3t-0123456789abcdef0123', retryMinTimeout: 1});
const message = {
  to: token, title: 'Your visit', body: 'Hi Ada: 9:30', data: {message_id: 'm'},
  sound: 'default', ttl: 14400, priority: 'high',
};
const said = {isToken: Expo.isExpoPushToken(token)};
try {
  said.tickets = await expo.sendPushNotificationsAsync([message]);
  said.receipts = await expo.getPushNotificationReceiptsAsync(['0190a7f1']);
} catch (error) {
  said.error = error.code ?? String(error);
}
console.log(JSON.stringify(said));
